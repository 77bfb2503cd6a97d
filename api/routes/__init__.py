"""HTTP resources, one file a noun. A handler decodes a Struct, calls one domain function and encodes a Struct."""
