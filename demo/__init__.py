"""What stands around the product in a trial: a mail inbox, a marketplace dashboard, and what starts it all."""
