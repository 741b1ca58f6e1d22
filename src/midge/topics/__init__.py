"""Topics: names and filters, which are valid, and which filter matches which name.

* ``names`` says what a valid topic name and a valid topic filter are.
* ``filters`` takes shared subscriptions apart and holds the plain form of matching.
* ``remap`` puts topics below a mount point, and takes them from there.
* ``trie`` finds, among many filters, those that match a name, and the other way round.

Everything here works on text. How topics stand on the wire is ``mqtt``'s business.
"""
