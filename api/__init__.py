"""The one face: HTTP, pages, command line, imports and the demo. The only composition root."""
