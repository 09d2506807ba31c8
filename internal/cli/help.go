package cli

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// helpWidth is the most columns that help takes.
const helpWidth = 80

// usageOf prints how a command is used, as cobra would, but no wider than a page of text.
func usageOf(env *Env, c *cobra.Command) error {
	width, _ := size(env.Stdout, env.StdoutTerminal)
	width = min(width, helpWidth)
	out := c.OutOrStderr()
	fmt.Fprintln(out, "Usage:")
	if c.Runnable() {
		fmt.Fprintln(out, "  "+c.UseLine())
	}
	if c.HasAvailableSubCommands() {
		fmt.Fprintf(out, "  %s COMMAND\n", c.CommandPath())
	}
	if c.HasExample() {
		fmt.Fprintf(out, "\nExamples:\n%s\n", c.Example)
	}
	groups := c.Groups()
	if len(groups) == 0 {
		groups = []*cobra.Group{{Title: "Commands:"}}
	}
	for _, g := range groups {
		title := "\n" + g.Title + "\n"
		for _, sub := range c.Commands() {
			if sub.GroupID == g.ID && (sub.IsAvailableCommand() || sub.Name() == "help") {
				fmt.Fprintf(out, "%s  %-*s %s\n", title, sub.NamePadding(), sub.Name(), sub.Short)
				title = ""
			}
		}
	}
	flagsOf(out, "Flags:", c.LocalFlags(), width)
	flagsOf(out, "Flags of all these commands:", c.InheritedFlags(), width)
	if c.HasAvailableSubCommands() {
		fmt.Fprintf(out, "\nMore of a command: %s COMMAND --help\n", c.CommandPath())
	}
	return nil
}

func flagsOf(out io.Writer, title string, flags *pflag.FlagSet, width int) {
	if flags.HasAvailableFlags() {
		fmt.Fprintf(out, "\n%s\n%s", title, flags.FlagUsagesWrapped(width))
	}
}

// addCobras adds the commands that cobra brings, help and completion, with texts of ours
// that are no wider than the others.
func addCobras(root *cobra.Command, args []string) {
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd(args...)
	examples := map[string]string{
		"help":       "  countersign help login\n  countersign help identity create",
		"bash":       "  source <(countersign completion bash)\n  countersign completion bash > /etc/bash_completion.d/countersign",
		"zsh":        "  source <(countersign completion zsh)\n  countersign completion zsh > \"${fpath[1]}/_countersign\"",
		"fish":       "  countersign completion fish | source\n  countersign completion fish > ~/.config/fish/completions/countersign.fish",
		"powershell": "  countersign completion powershell | Out-String | Invoke-Expression\n  countersign completion powershell >> $PROFILE",
	}
	for _, c := range root.Commands() {
		switch c.Name() {
		case "help":
			c.Long, c.Example = "Say how a command is used, as --help behind the command does.", examples["help"]
		case "completion":
			c.Short = "Let your shell complete commands and names"
			c.Long = "Print a script with which your shell completes the commands of countersign,\ntheir flags, and what is known: identities, accounts, servers, clients, grants.\nBash needs its package bash-completion for it."
			for _, shell := range c.Commands() {
				shell.Short, shell.Example = "Print the script for "+shell.Name(), examples[shell.Name()]
				shell.Long = shell.Short + ". The first example is for this shell only."
				if shell.Name() == "bash" {
					shell.Long += "\nIt needs the package bash-completion."
				}
			}
		}
	}
}

// sayUse has what is wrong with the number of arguments said with how a command is used.
func sayUse(c *cobra.Command) {
	if check := c.Args; check != nil {
		c.Args = func(c *cobra.Command, args []string) error {
			if check(c, args) == nil {
				return nil
			}
			what := "something is missing"
			if len(args) > 0 {
				what = "there is too much or too little"
			}
			return &Failure{Code: ExitUsage, What: what, Next: `Use it like this: "` + strings.TrimSuffix(c.UseLine(), " [flags]") + `"`}
		}
	}
	for _, sub := range c.Commands() {
		sayUse(sub)
	}
}
