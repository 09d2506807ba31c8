package main

import (
	"fmt"
	"strings"
	"time"
)

// aim is how much a step may take with the most rows, of what it takes with the
// fewest.
const aim = 1.5

// printTable prints the sizes of one kind of database side by side.
func printTable(kind string, all []*measured) {
	first, last := all[0], all[len(all)-1]
	fmt.Printf("\n**%s**\n\n|", map[string]string{"sqlite": "SQLite", "postgres": "PostgreSQL"}[kind])
	for _, m := range all {
		fmt.Printf(" | %s rows", thousands(m.rows))
	}
	fmt.Printf(" | ratio | aim |\n|---|%s---|---|\n", strings.Repeat("---|", len(all)))
	for _, step := range steps {
		for _, p := range []struct {
			name  string
			share float64
		}{{"p50", 0.5}, {"p99", 0.99}} {
			of := func(m *measured) time.Duration { return m.percentile(step, p.share) }
			ratio := float64(of(last)) / float64(of(first))
			row(step+", "+p.name+" ms", all, func(m *measured) string { return fmt.Sprintf("%.2f", ms(of(m))) }, fmt.Sprintf("%.2f", ratio), fmt.Sprintf("%.1f", aim))
		}
	}
	row("start to ready, ms", all, func(m *measured) string { return fmt.Sprintf("%.0f", ms(m.ready)) }, "", "")
	row("first poll of a stored code after that, ms", all, func(m *measured) string { return fmt.Sprintf("%.1f", ms(m.firstAnswer)) }, "", "")
	row("database, MiB", all, func(m *measured) string { return fmt.Sprintf("%.0f", float64(m.size)/(1<<20)) }, "", "")
	row("server's memory, MiB", all, func(m *measured) string { return fmt.Sprintf("%.0f", float64(m.memory)/(1<<20)) }, "", "")
	row("filling, s", all, func(m *measured) string { return fmt.Sprintf("%.0f", m.filled.Seconds()) }, "", "")
}

func row(name string, all []*measured, value func(m *measured) string, ratio, aim string) {
	fmt.Printf("| %s", name)
	for _, m := range all {
		fmt.Printf(" | %s", value(m))
	}
	fmt.Printf(" | %s | %s |\n", ratio, aim)
}

// thousands writes a number with spaces between its thousands.
func thousands(n int) string {
	text := fmt.Sprint(n)
	for at := len(text) - 3; at > 0; at -= 3 {
		text = text[:at] + " " + text[at:]
	}
	return text
}
