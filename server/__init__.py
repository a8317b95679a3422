"""The OpenAI-compatible server: the agent over HTTP, for any client that speaks to OpenAI's API."""
