package cli

import (
	"fmt"
	"strings"

	"github.com/rivo/uniseg"
)

// printList prints rows in columns, under a header if there is one. On a terminal that is
// not as wide, where they would wrap into each other, each row is printed as lines of its
// own; programs get columns always.
func printList(env *Env, header []string, rows [][]string) error {
	if len(rows) == 0 {
		return nil
	}
	const gap = 2
	available, _ := size(env.Stdout, env.StdoutTerminal)
	all := rows
	if header != nil {
		all = append([][]string{header}, rows...)
	}
	widths, total := make([]int, len(all[0])), -gap
	for i := range widths {
		for _, row := range all {
			widths[i] = max(widths[i], uniseg.StringWidth(row[i]))
		}
		total += widths[i] + gap
	}
	var out strings.Builder
	if total <= available {
		for _, row := range all {
			var line strings.Builder
			for i, cell := range row {
				line.WriteString(cell + blanks(widths[i]+gap-uniseg.StringWidth(cell)))
			}
			fmt.Fprintln(&out, strings.TrimRight(line.String(), " "))
		}
	} else {
		writeRecords(&out, available, header, rows)
	}
	_, err := fmt.Fprint(env.Stdout, out.String())
	return err
}

// writeRecords writes each row as lines, each with its name or, without names, below the
// first.
func writeRecords(out *strings.Builder, width int, names []string, rows [][]string) {
	longest := 0
	for _, name := range names {
		longest = max(longest, len(name))
	}
	for r, row := range rows {
		if r > 0 {
			fmt.Fprintln(out)
		}
		for i, cell := range row {
			label := ""
			switch {
			case names != nil:
				label = names[i] + blanks(longest+2-len(names[i]))
			case i > 0:
				label = blanks(4)
			}
			fmt.Fprintln(out, strings.Join(folded(width, label, cell), "\n"))
		}
	}
}
