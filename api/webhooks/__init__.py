"""Webhooks by the Standard Webhooks specification, read from the members' timeline."""
