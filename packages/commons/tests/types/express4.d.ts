// Express 4 stands beside Express 5 under another name; what the tests use of both is the same.
declare module "express4" {
  import express from "express";
  export default express;
}
