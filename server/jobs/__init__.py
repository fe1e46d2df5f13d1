"""Jobs as the service knows them."""
