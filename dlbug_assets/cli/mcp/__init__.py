"""`dlbug mcp`: the published database for clients of the Model Context Protocol, such as assistants."""
