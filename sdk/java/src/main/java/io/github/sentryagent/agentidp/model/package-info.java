/** What the management API takes and gives. Members that may be absent are null where it says so. */
package io.github.sentryagent.agentidp.model;
