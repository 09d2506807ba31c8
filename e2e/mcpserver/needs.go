// Package mcpserver is empty. Its module has what the program of docs/guides/mcp-server.md
// imports, which the server itself has no need of: the guide's test compiles it here.
package mcpserver

import (
	_ "github.com/modelcontextprotocol/go-sdk/mcp" // the guide's

	_ "countersign.dev/protect" // and ours
)
