"""Topics and filters that are likely to meet each other."""

from __future__ import annotations

from hypothesis import strategies as st

LEVELS = st.sampled_from(["a", "b", "", "$a", "$"])

topics = st.lists(LEVELS, min_size=1, max_size=5).map("/".join).filter(bool)

filters = st.builds(
    lambda levels, last: "/".join([*levels, *last]),
    st.lists(st.one_of(LEVELS, st.just("+")), max_size=4),
    st.sampled_from([["#"], ["+"], ["a"], [""], ["b", "#"]]),
).filter(bool)
