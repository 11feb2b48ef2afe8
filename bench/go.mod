module github.com/sentryagent/agentidp/bench

go 1.26.0
