"""The API's description: OpenAPI 3.1 with the errors and an example of every operation, and the page that shows it."""
