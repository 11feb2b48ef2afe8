/** For those who use Spring's RestClient or RestTemplate. */
package io.github.sentryagent.agentidp.spring;
