"""Labels that nobody drew: offline and by rounds, how far each is trusted, and what weight rare classes get."""
