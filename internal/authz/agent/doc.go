// Package agent is the leash that owners hold their agents by: agents are listed and shown, paused,
// resumed and revoked, one or all, and their chain of delegations is given out; and whoever
// sends what an owner signed beforehand, and kept, ends everything of the owner's.
//
// An agent is a grant. How one is approved is package approval's, what its tokens are good for
// package grant's, and that a grant is over or paused with one above it storage's, which every
// room that asks for a living grant is told.
//
// Start reading at Agents in agent.go.
package agent
