"""The risk of an account: the exact integer twin of the contracts and what is built on it."""
