"""Plimsoll: an on-chain cross-margin clearinghouse."""
