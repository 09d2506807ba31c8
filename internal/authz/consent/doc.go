// Package consent is what owners allowed applications on a review and are not asked for again:
// of whom it is remembered, what of it stands for a request, what an owner sees of it and has
// forgotten (decision 0074).
//
// Who is let in by it is package approval's, where the answer goes package code's.
//
// Start reading at Consents.Standing in consent.go.
package consent
