"""Accounts that are contracts, and wallet software: whoever owns, whatever signs."""
