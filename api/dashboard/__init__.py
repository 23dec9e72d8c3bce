"""The operators' pages: HTML made of what the services and presenters say, as the API makes JSON of it."""
