"""Training and export. Imported by the command line alone, never by the service."""
