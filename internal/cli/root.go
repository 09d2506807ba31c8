package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"countersign.dev/internal/config"
)

// Groups of commands, in the order readers look for theirs.
const (
	groupServer = "server"
	groupDevice = "device"
	groupOwner  = "owner"
	groupLearn  = "learn"
)

// Main runs the command line and returns the process's exit code.
func Main(args []string, env *Env) int {
	root := newRoot(env)
	addCobras(root, args)
	sayUse(root)
	c, _, _ := root.Find(args) // what is wrong with the arguments cobra says
	inOrder := c.Annotations[endsInOrder] != ""
	ctx, end := untilInterrupted(env, inOrder, wantsJSON(args))
	defer end()
	root.SetArgs(args)
	err := unknownCommand(root, args)
	if err == nil {
		err = root.ExecuteContext(ctx)
	}
	if !inOrder && errors.Is(err, context.Canceled) {
		err = errCancelled
	}
	if err == nil {
		return int(ExitDone)
	}
	var f *Failure
	if !errors.As(err, &f) {
		// What cobra itself refuses is wrong usage: an unknown flag or command, a
		// missing argument.
		err = &Failure{Code: ExitUsage, What: strings.ReplaceAll(err.Error(), "\n", " "), Next: seeHelp}
	}
	return int(report(env, bySignal(ctx, err), wantsJSON(args)))
}

// wantsJSON looks for --json in the arguments themselves, because the error may
// be in how they were given.
func wantsJSON(args []string) bool {
	return slices.ContainsFunc(args, func(a string) bool { return a == "--json" || a == "--json=true" })
}

// seeHelp is what to do about wrong usage.
const seeHelp = "See --help for how it is used"

// unknownCommand is the refusal of what is no command, or nil: of a command of commands
// cobra would print its help and call it done, and a script would believe that.
func unknownCommand(root *cobra.Command, args []string) error {
	if len(args) > 0 && args[0] == "help" {
		args = args[1:]
	}
	c, rest, _ := root.Find(args) // what is wrong with the rest cobra says
	if !c.HasSubCommands() {
		return nil
	}
	c.InitDefaultHelpFlag()
	c.InitDefaultVersionFlag()
	c.FParseErrWhitelist.UnknownFlags = true // they are of the command that was meant
	err := c.ParseFlags(rest)
	c.FParseErrWhitelist.UnknownFlags = false
	words := c.Flags().Args()
	if err != nil || len(words) == 0 || strings.HasPrefix(words[0], cobra.ShellCompRequestCmd) { // which completion scripts call
		return nil //nolint:nilerr // what is wrong with flags cobra says
	}
	var known []string
	for _, sub := range c.Commands() {
		if sub.IsAvailableCommand() {
			known = append(known, sub.Name())
		}
	}
	return &Failure{Code: ExitUsage, What: fmt.Sprintf("unknown command %q for %q", words[0], c.CommandPath()), Next: meant("", words[0], known)}
}

// unknownFlag gives the refusal of a flag that is none the one that was meant.
func unknownFlag(c *cobra.Command, err error) error {
	var none *pflag.NotExistError
	if !errors.As(err, &none) || none.GetSpecifiedShortnames() != "" {
		return err
	}
	var known []string
	c.Flags().VisitAll(func(f *pflag.Flag) { known = append(known, f.Name) })
	return &Failure{Code: ExitUsage, What: err.Error(), Next: meant("--", none.GetSpecifiedName(), known)}
}

// meant is what to do about a name that is none.
func meant(prefix, name string, known []string) string {
	if near := config.Nearest(name, known); near != "" {
		return "Did you mean " + prefix + near + "?"
	}
	return seeHelp
}

// variables are those of the environment that are no settings of a server. The
// last is what `countersign token --format env` prints.
var variables = []string{
	"COUNTERSIGN_SERVER", "COUNTERSIGN_CLIENT_ID", "COUNTERSIGN_PASSWORD", "COUNTERSIGN_PASSWORD_FILE", "COUNTERSIGN_CONFIG_DIR", "COUNTERSIGN_KEYRING",
	"COUNTERSIGN_TOKEN",
}

// checkEnvironment refuses a misspelt variable before a command that reads some:
// it would go on as if nothing had been said.
func checkEnvironment(cmd *cobra.Command, env *Env) error {
	for cmd.HasParent() && cmd.Parent().HasParent() {
		cmd = cmd.Parent()
	}
	if env.Environ == nil || !slices.Contains([]string{groupServer, groupDevice, groupOwner}, cmd.GroupID) {
		return nil
	}
	if err := config.CheckEnvironment(env.Environ(), variables); err != nil {
		return &Failure{Code: ExitUsage, What: "a variable is wrong", Err: err, Next: "Correct it, or unset it"}
	}
	return nil
}

func newRoot(env *Env) *cobra.Command {
	root := &cobra.Command{
		Use:   "countersign",
		Short: "A device asks, its owner countersigns, the device has its tokens",
		Long: `Countersign is an authorization server for everything that cannot show a login
page (command-line tools, desktop apps, TVs, AI agents), and for web, desktop
and mobile applications that send people to one (OpenID Connect), and the tools
on both sides of it.

Try "countersign demo" for the whole story in three seconds.`,
		SilenceUsage:  true,
		SilenceErrors: true,
		Version:       Version(),
	}
	root.SetFlagErrorFunc(unknownFlag)
	root.SetUsageFunc(func(c *cobra.Command) error { return usageOf(env, c) })
	root.PersistentPreRunE = func(cmd *cobra.Command, _ []string) error { return checkEnvironment(cmd, env) }
	root.SetVersionTemplate("{{.Name}} {{.Version}}\n") // as the command version has it
	root.SetIn(env.Stdin)
	root.SetOut(env.Stdout)
	root.SetErr(env.Stderr)
	root.AddGroup(
		&cobra.Group{ID: groupServer, Title: "Server:"},
		&cobra.Group{ID: groupDevice, Title: "Device:"},
		&cobra.Group{ID: groupOwner, Title: "Owner:"},
		&cobra.Group{ID: groupLearn, Title: "Learn:"},
	)
	add := func(group string, commands ...*cobra.Command) {
		for _, c := range commands {
			c.GroupID = group
			root.AddCommand(c)
		}
	}
	add(groupServer, newServeCommand(env), newClientsCommand(env), newKeysCommand(env), newMigrateCommand(env))
	add(groupDevice, newLoginCommand(env), newWhoamiCommand(env), newTokenCommand(env), newLogoutCommand(env), newAccountsCommand(env))
	add(groupOwner, newIdentityCommand(env), newApproveCommand(env), newDenyCommand(env), newGrantsCommand(env), newReceiptCommand(env), newAgentsCommand(env))
	add(groupLearn, newDemoCommand(env), newVersionCommand(env))
	addCompletion(root, env)
	root.SetHelpCommandGroupID(groupLearn)
	root.SetCompletionCommandGroupID(groupLearn)
	return root
}
