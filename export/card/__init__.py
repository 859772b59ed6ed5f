"""Model card and data statement of a bundle: what its manifest tells, and questions to whoever owns it."""
