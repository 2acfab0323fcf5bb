SELECT day FROM frozen
