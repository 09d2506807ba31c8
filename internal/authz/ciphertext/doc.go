// Package ciphertext tells what an owner encrypted from what they only meant to: keys and
// phrases in the clear, in every form that people have them in. It keeps nothing and knows
// no owner.
//
// Start reading at Refusal.
package ciphertext
