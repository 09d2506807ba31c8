// Package wire is what HTTP is to this server, whatever is asked: bodies and how they
// are decoded, refusals and how they are said, where a request comes from, whose session
// it carries and which server it was signed for, cookies, the log line.
//
// It knows no endpoint and no page, and decides nothing: whoever answers, clients
// (package oauth), owners' programs (api) or people (page), answers by it. Start reading at
// Door, what every answer shares, then body.go for what comes in and errors.go for what
// goes out.
package wire
