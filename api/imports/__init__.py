"""Imports compose the domains: stores/ reads and loads, membership/ knows whose it is, loyalty/ awards."""
