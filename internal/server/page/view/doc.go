// Package view is what people are shown, before it is HTML: facts of the domain in the
// messages of a person's language.
//
// Here belongs what a template prints and how it comes of the facts (a review, scopes, events,
// news). No request, no cookie and no rule belongs here: the screens of package page ask the
// rooms and hand over what they were told. Start reading at NewReview in review.go, the page on
// which an owner decides.
package view
