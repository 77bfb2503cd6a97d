"""What is known of a member: who looked at it, taking it along, forgetting it."""
