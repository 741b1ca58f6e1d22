"""Where a protocol meets its meaning: an outside party's packets become messages and back."""
