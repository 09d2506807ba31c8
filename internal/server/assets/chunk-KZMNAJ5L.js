import{a,b}from"./chunk-R6JHV3BL.js";export{a as leastLength,b as strength};
