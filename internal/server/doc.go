// Package server puts the handler of the authorization server together: the table of
// routes, who may call what and how (class), headers and CORS.
//
// What a route answers is written in package oauth for clients, in package api for an
// owner's programs and in package page for people; what they share with HTTP is in package
// wire. No request is decoded here, and nothing is asked of the domain. Start reading at
// routes.go; every endpoint is a row there.
package server
