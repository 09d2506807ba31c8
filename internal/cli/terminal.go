package cli

import (
	"fmt"
	"io"
	"math"
	"os"
	"runtime"
	"strings"

	"github.com/rivo/uniseg"
	"golang.org/x/term"
)

// size is the size of the terminal that a stream is, in columns and rows, now; the usual
// one where it does not say. What is no terminal has room for everything.
func size(stream io.Writer, terminal bool) (width, height int) {
	if !terminal {
		return math.MaxInt, math.MaxInt
	}
	const usualWidth, usualHeight = 80, 24
	if f, ok := stream.(*os.File); ok {
		if width, height, err := term.GetSize(int(f.Fd())); err == nil && width > 0 && height > 0 {
			return width, height
		}
	}
	return usualWidth, usualHeight
}

// movesCursor reports whether standard error is a terminal whose cursor can be moved. On
// one that does not say what it is, it cannot.
func (env *Env) movesCursor() bool {
	name := env.Getenv("TERM")
	return env.StderrTerminal && name != "dumb" && (name != "" || runtime.GOOS == "windows")
}

// atMost is how many columns a text of ours may take: there are terminals where what is
// no ASCII takes two.
func atMost(text string) (columns int) {
	for _, r := range text {
		columns++
		if r > '~' {
			columns++
		}
	}
	return columns
}

// fitting is the first of texts, the longest first, that leaves the last column free, or
// as much of the last one: a full line may go on below, and redrawing it would scroll
// the screen.
func fitting(width int, texts ...string) string {
	for _, text := range texts {
		if atMost(text) < width {
			return text
		}
	}
	last := []rune(texts[len(texts)-1])
	for len(last) > 0 && atMost(string(last)) >= width {
		last = last[:len(last)-1]
	}
	return string(last)
}

// say says sentences to the person. On a terminal they are folded at words; what stands in
// quotes is there to be copied, and stays in one piece.
func (env *Env) say(sentences string) {
	width, _ := size(env.Stderr, env.StderrTerminal)
	var words []string
	parts := strings.Split(sentences, `"`)
	for n, part := range parts {
		switch {
		case n%2 == 1 && n < len(parts)-1:
			words[len(words)-1] += `"` + part + `"`
		case n%2 == 1: // which nothing ends
			words[len(words)-1] += `"` + part
		case n == 0:
			words = strings.Split(part, " ")
		default:
			more := strings.Split(part, " ")
			words[len(words)-1] += more[0]
			words = append(words, more[1:]...)
		}
	}
	fmt.Fprintln(env.Stderr, strings.Join(foldedWords(width, "", words), "\n"))
}

// folded is a text behind a label. Words that do not fit go on below its beginning.
func folded(width int, label, text string) (lines []string) {
	return foldedWords(width, label, strings.Split(text, " "))
}

func foldedWords(width int, label string, words []string) (lines []string) {
	line := label
	for n, word := range words {
		switch {
		case n == 0:
			line += word
		case uniseg.StringWidth(line+" "+word) <= width:
			line += " " + word
		default:
			lines = append(lines, line)
			line = blanks(len(label)) + word
		}
	}
	return append(lines, line)
}

func blanks(n int) string { return strings.Repeat(" ", n) }
