"""How long calls and deliveries are kept, how much room they take, and the removal of what must not be kept."""
