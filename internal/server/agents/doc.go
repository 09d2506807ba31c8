// Package agents answers owners about the agents that act for them: what there is, how it is
// paused, resumed, revoked and stopped for good, and what was signed for it.
//
// How an agent asks and gets its tokens is answered by package oauth, how its owner approves it
// by package api and the pages. No rule is decided here.
//
// Start reading at Agents.List in agents.go.
package agents
