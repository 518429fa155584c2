"""How much one address, one user, and one user at one endpoint may ask."""
