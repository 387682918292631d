/** Loaded when needed: a bundler gives the names of a CommonJS module to a static import only. */
export { Agent, EnvHttpProxyAgent, ProxyAgent } from 'undici';
