package usercode

import (
	"fmt"
	"io"
	"slices"
	"strconv"
)

const (
	leastMatchNumber = 10
	matchNumbers     = 90 // 10 to 99: two digits, none of them a leading zero
	offeredNumbers   = 3
)

// NewNumber draws a number as a device shows it, every one equally likely.
func NewNumber(random io.Reader) (int, error) {
	const unbiased = 256 / matchNumbers * matchNumbers
	for {
		var b [1]byte
		if _, err := io.ReadFull(random, b[:]); err != nil {
			return 0, fmt.Errorf("randomness: %w", err)
		}
		if int(b[0]) < unbiased {
			return leastMatchNumber + int(b[0])%matchNumbers, nil
		}
	}
}

// Numbers returns the numbers to choose from, in an order that says
// nothing: the right one, and wrong ones that some bytes give, always the same of the same.
func Numbers(number int, stream []byte) []string {
	numbers := []int{number}
	for _, b := range stream[:len(stream)/2] {
		n := leastMatchNumber + int(b)%matchNumbers
		if len(numbers) < offeredNumbers && !slices.Contains(numbers, n) {
			numbers = append(numbers, n)
		}
	}
	choices := make([]string, len(numbers))
	for i, n := range numbers {
		choices[i] = strconv.Itoa(n)
	}
	right := int(stream[len(stream)-1]) % len(choices)
	choices[0], choices[right] = choices[right], choices[0]
	return choices
}
