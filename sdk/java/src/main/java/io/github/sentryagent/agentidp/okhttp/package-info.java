/** For those who use OkHttp. */
package io.github.sentryagent.agentidp.okhttp;
