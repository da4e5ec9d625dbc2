"""P^3Sum's claims at laptop scale."""
