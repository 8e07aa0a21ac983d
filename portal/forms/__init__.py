"""What people type, one module per page."""
