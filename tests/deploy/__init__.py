"""Deployment, rehearsed on Anvils that carry the chain ids of the real networks."""
