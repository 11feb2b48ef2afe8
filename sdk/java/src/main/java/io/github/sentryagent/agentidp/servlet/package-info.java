/** For APIs on jakarta servlets. */
package io.github.sentryagent.agentidp.servlet;
