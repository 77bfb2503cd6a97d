"""Who is calling, and what they may do: passwords and second factors, sessions, tills, keys, roles and store scope."""
