"""Environments of others behind our class: `reasoning_gym` and `agentgym`. Each is imported when it is used."""
